import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../bin/byte-sink.ts';

describe('ByteSink', () => {
  test('writes everything in order, small pieces together', async () => {
    const stream = new PassThrough({ highWaterMark: 1 << 20 });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const sink = new ByteSink(stream, () => expect.unreachable());
    for (let i = 0; i < 1_000; i++) sink.writeText(`${i}\n`);
    await sink.flushed();
    expect(Buffer.concat(chunks).toString()).toBe(Array.from({ length: 1_000 }, (_, i) => `${i}\n`).join(''));
    expect(chunks.length).toBeLessThan(10);
  });

  test('hands what was written to the stream at the end of the turn without being asked', async () => {
    const stream = new PassThrough();
    const sink = new ByteSink(stream, () => expect.unreachable());
    sink.writeText('now');
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('now');
  });

  test('is full while the reader does not read, and flushed once it has', async () => {
    let take: (() => void) | undefined;
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        take = done;
      },
    });
    const sink = new ByteSink(stream, () => expect.unreachable());
    sink.write(Buffer.alloc(1 << 20));
    expect(sink.isFull).toBe(true);
    const flushed = sink.flushed();
    take?.();
    await flushed;
    expect(sink.isFull).toBe(false);
  });

  test('a reader that closed its end is told once, and not as an error', async () => {
    const ends: (Error | undefined)[] = [];
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const sink = new ByteSink(stream, (error) => ends.push(error));
    sink.writeText('a');
    await sink.flushed();
    sink.writeText('b');
    await sink.flushed();
    expect(ends).toEqual([undefined]);
    expect(sink.isReaderGone).toBe(true);
  });

  test('any other failure is handed on', async () => {
    const failure = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    const ends: (Error | undefined)[] = [];
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(failure) });
    const sink = new ByteSink(stream, (error) => ends.push(error));
    sink.writeText('a');
    await sink.flushed();
    expect(ends).toEqual([failure]);
  });
});
