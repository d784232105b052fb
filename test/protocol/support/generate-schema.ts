/**
 * Writes src/protocol/generated/schema.ts: the static protobuf code of schema.proto plus the types of its messages.
 *
 * pbjs emits JavaScript, which tsc would neither compile nor copy (allowJs is off). So its output goes, unchecked, into
 * a .ts file whose one export is typed by interfaces written from the same .proto: one file that tsc, vitest and
 * esbuild all understand. `UPDATE_GENERATED=1 npx vitest run test/protocol/schema.test.ts` rewrites it; without the
 * variable that test compares.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const PROTO = fileURLToPath(new URL('../../../src/protocol/schema.proto', import.meta.url));
export const GENERATED: string = fileURLToPath(new URL('../../../src/protocol/generated/schema.ts', import.meta.url));

const PBJS_ARGUMENTS = [
  ...['--target', 'static-module', '--wrap', 'esm', '--root', 'logdrive.v1', '--force-number'],
  ...['--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-typeurl', '--no-service', '--no-comments'],
];

interface Pbjs {
  main(args: readonly string[], done: (error: Error | null, output?: string) => void): void;
}

const HEADER = `// @ts-nocheck
/**
 * Generated from schema.proto by test/protocol/support/generate-schema.ts. Do not edit.
 * Imported by schema.ts alone.
 */`;

/** The text the generated file must have. */
export async function generateSchema(): Promise<string> {
  const pbjs = createRequire(import.meta.url)('protobufjs-cli/pbjs') as Pbjs;
  const code = await new Promise<string>((resolve, reject) => {
    pbjs.main([...PBJS_ARGUMENTS, PROTO], (error, output) => {
      if (error !== null || output === undefined) reject(error ?? new Error('pbjs wrote nothing'));
      else resolve(output);
    });
  });
  const root = await protobuf.load(PROTO);
  const types = root.lookup('logdrive.v1') as protobuf.Namespace;
  const messages = types.nestedArray.filter((nested) => nested instanceof protobuf.Type);
  return `${HEADER}\n${plainNumbers(code)}\n${messages.map(describe).join('\n')}\n${describeExport(messages)}`;
}

/**
 * --force-number changes pbjs' declarations, not its code: a 64-bit field that is absent would still read as a Long
 * object wherever the `long` package is installed. Here every default is the number 0; numbers that are present are
 * read by the NumberReader of schema.ts.
 */
function plainNumbers(code: string): string {
  return code
    .replaceAll(/\$util\.Long \? \$util\.Long\.fromBits\(0,0,true\) : 0/g, '0')
    .replace('export const logdrive = $root.logdrive', 'const logdrive = $root.logdrive')
    .replace(/^export \{\n.*\n\};\n/m, '');
}

function describe(message: protobuf.Type): string {
  const fields = message.fieldsArray.map((field) => `  readonly ${field.name}?: ${typeOf(field)} | null;`);
  const oneofs = message.oneofsArray.map((oneof) => {
    const names = oneof.fieldsArray.map((field) => `'${field.name}'`).join(' | ');
    return `  /** Which member is set; read only. */\n  readonly ${oneof.name}?: ${names} | undefined;`;
  });
  return `export interface ${message.name} {\n${[...fields, ...oneofs].map((line) => `${line}\n`).join('')}}\n`;
}

function typeOf(field: protobuf.Field): string {
  const one = SCALARS[field.type] ?? field.type;
  return field.repeated ? `readonly ${one}[]` : one;
}

const SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  bytes: 'Uint8Array',
  bool: 'boolean',
  uint32: 'number',
  uint64: 'number',
};

function describeExport(messages: readonly protobuf.Type[]): string {
  const rows = messages.map((message) => `  readonly ${message.name}: WireType<${message.name}>;\n`);
  return `import type { Reader, Writer } from 'protobufjs/minimal.js';

export interface WireType<T> {
  encode(message: T, writer: Writer): Writer;
  decode(reader: Reader, length?: number): T;
}

export interface WireTypes {
${rows.join('')}}

export const wire: WireTypes = logdrive.v1;
`;
}
