import { describe, expect, test } from 'vitest';
import { createLogger, escapeControls } from '../../src/server/logger.ts';

function linesOf(
  isPretty: boolean,
  write: (logger: ReturnType<typeof createLogger>) => void,
  level: 'debug' | 'info' = 'info',
): string {
  let text = '';
  const stream = {
    write: (line: string) => {
      text += line;
    },
  };
  write(createLogger({ level, isPretty, stream }));
  return text;
}

describe('the log', () => {
  test('is one JSON document a line, with the fields of its parents', () => {
    const text = linesOf(false, (logger) => logger.child({ node: 'n1' }).warn({ offset: 5 }, 'hello'));
    expect(JSON.parse(text)).toMatchObject({ level: 40, node: 'n1', offset: 5, msg: 'hello' });
    expect(text.trimEnd()).not.toContain('\n');
  });

  test('leaves out what is below its level', () => {
    expect(linesOf(false, (logger) => logger.debug({}, 'x'))).toBe('');
    expect(linesOf(false, (logger) => logger.debug({}, 'x'), 'debug')).toContain('"msg":"x"');
  });

  test.each([true, false])('cannot be forged or drive a terminal by what it is given (pretty: %s)', (isPretty) => {
    const evil = 'a\nERROR forged\r\u001b[2J\u0007\u009b\u2028\u202e';
    const text = linesOf(isPretty, (logger) =>
      logger.error({ topic: evil, nested: [{ deep: evil }], error: new Error(evil, { cause: new Error(evil) }) }, evil),
    );
    const foreign = text.replaceAll('\u001b[31m', '').replaceAll('\u001b[39m', '').replaceAll('\u001b[36m', '');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
    expect(foreign.trimEnd()).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
    expect(text.split('\n').filter((line) => line.startsWith('ERROR'))).toEqual([]);
  });

  test('shows of bytes their number, and of an error its code, text and cause', () => {
    const cause = Object.assign(new Error('inner'), { code: 'EIO' });
    const error = new Error('outer', { cause });
    const line = JSON.parse(linesOf(false, (logger) => logger.error({ batch: Buffer.from('secret'), error }, 'x')));
    expect(line.batch).toBe('6 bytes');
    expect(line.error).toMatchObject({ name: 'Error', message: 'outer', cause: { message: 'inner', code: 'EIO' } });
    expect(JSON.stringify(line)).not.toContain('secret');
  });

  test('escapes leave ordinary text of any script alone', () => {
    expect(escapeControls('Grüße 漢字 👍 "x"')).toBe('Grüße 漢字 👍 "x"');
    expect(escapeControls('a\tb')).toBe('a\\u0009b');
  });
});
