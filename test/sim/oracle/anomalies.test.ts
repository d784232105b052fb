import { describe, expect, test } from 'vitest';
import { BAD_HISTORIES } from './bad-histories.ts';
import { decodeHistory, encodeHistory, judge, RULES } from './index.ts';

const namesOf = (events: Parameters<typeof judge>[0]): string[] => [
  ...new Set(judge(events).anomalies.map(({ name }) => name)),
];

describe('the judge', () => {
  test.each(BAD_HISTORIES)(
    'names $anomaly, and nothing else, and passes its good twin ($#)',
    ({ anomaly, bad, good }) => {
      expect(namesOf(bad)).toEqual([anomaly]);
      expect(judge(good).anomalies).toEqual([]);
    },
  );

  test('has a bad history for each of its rules, and each rule has a name of its own', () => {
    const names = RULES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect([...new Set(BAD_HISTORIES.map(({ anomaly }) => anomaly))].sort()).toEqual([...names].sort());
  });

  test('finds the same in a history that was written to a file and read back', () => {
    for (const { bad } of BAD_HISTORIES) {
      const again = decodeHistory(encodeHistory(bad));
      expect(again).toEqual(bad);
      expect(judge(again)).toEqual(judge(bad));
    }
  });
});
