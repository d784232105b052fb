/** SHA-256 by the Web Crypto API, which Node and browsers share. */
import { LogError } from '../protocol/index.ts';

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  // Browsers have it in secure contexts only (https, localhost), whatever the types say.
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) {
    throw new LogError('UNSUPPORTED', 'A producer id of your own needs Web Crypto: load the page over https.');
  }
  return new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}
