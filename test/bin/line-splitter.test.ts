import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter } from '../../bin/line-splitter.ts';

interface Cut {
  readonly lines: string[];
  readonly oversized: { lineNumber: number; bytes: number }[];
  readonly numbers: number[];
}

/** latin1, so that each byte is one character and nothing is lost. */
function split(chunks: readonly Buffer[], lineBytesMax = 1_000): Cut {
  const cut: Cut = { lines: [], oversized: [], numbers: [] };
  const splitter = new LineSplitter(
    {
      onLine: (line, lineNumber) => {
        cut.lines.push(Buffer.from(line).toString('latin1'));
        cut.numbers.push(lineNumber);
      },
      onOversized: (lineNumber, bytes) => cut.oversized.push({ lineNumber, bytes }),
    },
    { lineBytesMax },
  );
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return cut;
}

const whole = (text: string): Cut => split([Buffer.from(text, 'latin1')]);

describe('LineSplitter', () => {
  const cases: readonly { name: string; input: string; lines: string[] }[] = [
    { name: 'nothing gives no line', input: '', lines: [] },
    { name: 'a line without an end is a line', input: 'a', lines: ['a'] },
    { name: 'the end of a line begins no other one', input: 'a\n', lines: ['a'] },
    { name: 'empty lines are lines', input: '\n\na\n\n', lines: ['', '', 'a', ''] },
    { name: 'a carriage return is data', input: 'a\r\nb\r', lines: ['a\r', 'b\r'] },
    {
      name: 'zero bytes and bytes that are no UTF-8 are data',
      input: '\0\xff\n\xc3\n\x80',
      lines: ['\0\xff', '\xc3', '\x80'],
    },
    { name: 'other line separators are data', input: 'a\u000bb\u000cc\x85d', lines: ['a\u000bb\u000cc\x85d'] },
  ];
  for (const { name, input, lines } of cases) {
    test(name, () => {
      expect(whole(input).lines).toEqual(lines);
      // And however the stream is cut into chunks: here, one byte each.
      const bytes = Buffer.from(input, 'latin1');
      expect(split(Array.from(bytes, (byte) => Buffer.from([byte]))).lines).toEqual(lines);
    });
  }

  test('the lines do not depend on where the stream is cut into chunks', () => {
    const chunk = fc
      .uint8Array({ maxLength: 20 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte % 3 === 0 ? 10 : byte))));
    fc.assert(
      fc.property(fc.array(chunk), (chunks) => {
        expect(split(chunks, 7)).toEqual(split([Buffer.concat(chunks)], 7));
      }),
    );
  });

  test('joining the lines gives the stream back', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 9 })), (chunks) => {
        const stream = Buffer.concat(chunks).toString('latin1');
        const { lines } = split(chunks.map((chunk) => Buffer.from(chunk)));
        const joined = lines.map((line) => `${line}\n`).join('');
        expect(stream.endsWith('\n') || stream === '' ? stream : `${stream}\n`).toBe(joined);
      }),
    );
  });

  test('a chunk may be reused as soon as push returned', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter(
      { onLine: (line) => lines.push(String(Buffer.from(line))), onOversized: () => expect.unreachable() },
      { lineBytesMax: 100 },
    );
    const chunk = Buffer.from('abc');
    splitter.push(chunk);
    chunk.fill('x');
    splitter.push(Buffer.from('def\n'));
    expect(lines).toEqual(['abcdef']);
  });

  test('a line over the limit is named with its number and size, and the lines around it are kept', () => {
    const cut = split([Buffer.from(`ok\n${'x'.repeat(11)}\n${'y'.repeat(10)}\n${'z'.repeat(12)}`)], 10);
    expect(cut.lines).toEqual(['ok', 'y'.repeat(10)]);
    expect(cut.numbers).toEqual([1, 3]);
    expect(cut.oversized).toEqual([
      { lineNumber: 2, bytes: 11 },
      { lineNumber: 4, bytes: 12 },
    ]);
  });

  test('a line over the limit is not kept in memory while it goes on', () => {
    const chunk = Buffer.alloc(1 << 20, 'x');
    const before = process.memoryUsage().arrayBuffers;
    const cut: number[] = [];
    const splitter = new LineSplitter(
      { onLine: () => expect.unreachable(), onOversized: (_, bytes) => cut.push(bytes) },
      { lineBytesMax: 1 << 20 },
    );
    for (let i = 0; i < 256; i++) splitter.push(chunk);
    const grown = process.memoryUsage().arrayBuffers - before;
    splitter.end();
    expect(cut).toEqual([256 << 20]);
    expect(grown).toBeLessThan(64 << 20);
  });
});
