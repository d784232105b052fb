/** A body cut into lines at \n alone, while it arrives. The \n is not part of a line; the last one may lack it. */
import { LogError } from '../protocol/index.ts';

/**
 * @throws LogError TOO_LARGE with `line` once a line is longer than `lineBytesMax`: memory stays bounded whatever is
 * sent.
 */
export async function* splitLines(body: AsyncIterable<Uint8Array>, lineBytesMax: number): AsyncGenerator<Uint8Array> {
  /** Parts of the line that is not complete yet. */
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let line = 1;
  const take = (tail: Uint8Array): Uint8Array => {
    const whole = parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
    parts = [];
    partBytes = 0;
    line++;
    return whole;
  };
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start === chunk.byteLength) continue;
    parts.push(chunk.subarray(start));
    partBytes += chunk.byteLength - start;
    if (partBytes > lineBytesMax) {
      const details = { limitBytes: lineBytesMax, line };
      throw new LogError('TOO_LARGE', `a line is over ${lineBytesMax} bytes`, { details });
    }
  }
  if (partBytes > 0) yield take(new Uint8Array(0));
}
