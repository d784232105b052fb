import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../bin/byte-sink.ts';
import { Terminal, type TerminalOptions } from '../../bin/terminal.ts';

function terminal(options: Partial<TerminalOptions> & { readonly isTTY?: boolean } = {}) {
  const { isTTY = false, ...rest } = options;
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 20 });
  const out = new ByteSink(new PassThrough(), () => undefined);
  const made = new Terminal(out, stderr, { isColoured: true, isQuiet: false, isVerbose: false, ...rest });
  return { terminal: made, stderr, said: () => String(stderr.read() ?? '') };
}

describe('Terminal', () => {
  test('says what matters, and details only when asked', () => {
    const usual = terminal();
    usual.terminal.say('said');
    usual.terminal.detail('detail');
    usual.terminal.complain('complaint');
    expect(usual.said()).toBe('said\ncomplaint\n');
    const verbose = terminal({ isVerbose: true });
    verbose.terminal.detail('detail');
    expect(verbose.said()).toBe('detail\n');
  });

  test('is silent but for complaints when told to be quiet', () => {
    const { terminal: quiet, said } = terminal({ isQuiet: true, isTTY: true });
    quiet.say('said');
    quiet.progress('10 %');
    quiet.complain('complaint');
    expect(said()).toBe('complaint\n');
  });

  test('shows progress on a terminal only, within one line, and wipes it before anything else is said', () => {
    const piped = terminal();
    piped.terminal.progress('10 %');
    expect([piped.terminal.showsProgress, piped.said()]).toEqual([false, '']);
    const { terminal: shown, said } = terminal({ isTTY: true });
    shown.progress('a line that is longer than the terminal is wide');
    shown.say('said');
    shown.say('again');
    expect(said()).toBe('\r\u001b[2Ka line that is long\r\u001b[2Ksaid\nagain\n');
  });

  test('colours on a terminal only, and not when told not to', () => {
    expect(terminal({ isTTY: true }).terminal.bold('x')).toBe('\u001b[1mx\u001b[22m');
    expect(terminal({ isTTY: true, isColoured: false }).terminal.bold('x')).toBe('x');
    expect(terminal().terminal.bold('x')).toBe('x');
  });

  test('goes on when nobody reads its talk any more', () => {
    const { terminal: deaf, stderr } = terminal();
    stderr.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    expect(() => deaf.say('into the void')).not.toThrow();
  });
});
