import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { GENERATED, generateSchema } from './support/generate-schema.ts';

describe('the generated schema module', () => {
  test('is exactly what schema.proto generates', async () => {
    const text = await generateSchema();
    if (process.env.UPDATE_GENERATED === '1') await writeFile(GENERATED, text);
    expect(await readFile(GENERATED, 'utf8')).toBe(text);
  });
});
