/** docs/protocol.md is a specification: what it says in tables and hex is compared with the code, both ways. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import * as protocol from '../../src/protocol/index.ts';
import { CODECS } from '../../src/protocol/message-codec.ts';
import { bytesOfHex } from './support/golden.ts';

const DOCUMENT = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
const PROTO = fileURLToPath(new URL('../../src/protocol/schema.proto', import.meta.url));

/** The part under a heading, up to the next one. */
function section(heading: string): string {
  const start = DOCUMENT.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`docs/protocol.md has no heading "${heading}"`);
  const body = DOCUMENT.slice(start + heading.length + 2);
  return body.slice(0, body.search(/^#|$(?![\s\S])/m));
}

/** Rows of the section's tables, header and rule left out. */
function rows(heading: string): string[][] {
  return [...section(heading).matchAll(/^\|(.*)\|$/gm)]
    .map((match) => match[1]!.split('|').map((cell) => cell.trim()))
    .filter((cells, at) => at > 0 && !cells[0]!.startsWith('---'));
}

function hexBlock(name: string): Uint8Array {
  const block = new RegExp(`^\`\`\`hex ${name}\n([\\s\\S]*?)^\`\`\``, 'm').exec(DOCUMENT);
  return bytesOfHex(block![1]!);
}

const root = (await protobuf.load(PROTO)).lookup('logdrive.v1') as protobuf.Namespace;
const types = root.nestedArray.filter((nested) => nested instanceof protobuf.Type);

describe('docs/protocol.md', () => {
  test('lists every kind with its number, sender, channel and payload', () => {
    const documented = rows('## 4. Kinds');
    const actual = Object.entries(CODECS).map(([name, { number, sender, channel, payload }]) => [
      String(number),
      name,
      sender,
      channel,
      payload,
    ]);
    expect(documented).toEqual(actual);
  });

  test.each(types.map((type) => [type.name, type] as const))('has every field of %s', (name, type) => {
    const documented = rows(`#### ${name}`).map((cells) => cells.slice(0, 3));
    const actual = type.fieldsArray.map((field) => [
      String(field.id),
      field.name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      field.repeated ? `${field.type}*` : field.type,
    ]);
    expect(documented).toEqual(actual);
  });

  test('describes no message that is not there', () => {
    const documented = [...DOCUMENT.matchAll(/^#### (\w+)$/gm)].map((match) => match[1]);
    expect(documented.sort()).toEqual(types.map((type) => type.name).sort());
  });

  test('gives each limit its value', () => {
    const documented = rows('## 7. Limits');
    expect(documented.length).toBeGreaterThan(10);
    for (const [name, value] of documented) {
      expect(Number(value!.replaceAll(',', '')), name).toBe((protocol as Record<string, unknown>)[name!]);
    }
  });

  test('lists the close codes', () => {
    const documented = Object.fromEntries(rows('## 8. Close codes').map(([code, name]) => [name, Number(code)]));
    expect(documented).toEqual(protocol.CLOSE_CODES);
  });

  test('names the version and the subprotocol', () => {
    expect(DOCUMENT).toContain(`# The logdrive protocol, version ${protocol.PROTOCOL_VERSION}\n`);
    expect(DOCUMENT).toContain(`\`${protocol.SUBPROTOCOL}\``);
  });

  test('shows an append byte for byte', () => {
    const bytes = hexBlock('append');
    const { channel, message, payload } = protocol.decodeFrame(bytes, 'client')!;
    expect(channel).toBe(0);
    expect(message).toEqual({
      kind: 'append',
      requestId: 1,
      topic: { name: 'greetings' },
      partition: 0,
      producer: { id: '000102030405060708090a0b0c0d0e0f', epoch: 0, sequence: 300 },
      redirect: false,
      timeoutMs: undefined,
    });
    const value = new TextEncoder().encode('hello');
    const batch = protocol.encodeRecordBatch([{ value }], {
      nowMs: 1_700_000_000_000,
      crc32c: protocol.crc32cPortable,
    });
    expect(payload).toEqual(batch);
    const [head] = protocol.encodeFrame(0, message, [batch]);
    expect(bytes).toEqual(Uint8Array.of(...head!, ...batch));
  });

  test('shows an ack byte for byte', () => {
    const bytes = hexBlock('ack');
    const message: protocol.Message = {
      kind: 'ack',
      requestId: 1,
      topicId: 7,
      partition: 0,
      baseOffset: 300,
      recordCount: 1,
      term: 2,
      appendTimeMs: 1_700_000_000_005,
      duplicate: false,
    };
    expect(protocol.decodeFrame(bytes, 'server')!.message).toEqual(message);
    expect(protocol.encodeFrame(0, message)).toEqual([bytes]);
  });
});
