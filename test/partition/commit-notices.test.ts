import { beforeEach, describe, expect, test } from 'vitest';
import { CommitNotices } from '../../src/partition/commit-notices.ts';
import type { Heartbeat } from '../../src/raft/index.ts';
import { HandTimers } from '../server/support/world.ts';

describe('a commit notice', () => {
  let time: HandTimers;
  let sent: string[];
  let notices: CommitNotices;

  beforeEach(() => {
    time = new HandTimers();
    sent = [];
    notices = new CommitNotices(time, ({ to, commit }) => sent.push(`${to} ${commit}`));
  });

  function notice(to: string, commit: number): Heartbeat {
    return { kind: 'heartbeat', from: 'n1', to, term: 1, commit, round: 1, isNotice: true };
  }

  test('leaves within two milliseconds when nothing else tells of the commit', () => {
    notices.hold(notice('n2', 7));
    notices.hold(notice('n3', 7));
    time.advance(1);
    expect(sent).toEqual([]);
    time.advance(1);
    expect(sent).toEqual(['n2 7', 'n3 7']);
    time.advance(100);
    expect(sent).toHaveLength(2);
  });

  test('does not leave when the next append has told of it: none for a thousand appends one after the other', () => {
    for (let commit = 1; commit <= 1_000; commit++) {
      notices.hold(notice('n2', commit));
      time.advance(commit % 2);
      notices.told('n2', commit);
    }
    time.advance(100);
    expect(sent).toEqual([]);
  });

  test('leaves all the same when what was told is older, or was told to another', () => {
    notices.hold(notice('n2', 7));
    notices.told('n2', 6);
    notices.told('n3', 7);
    time.advance(2);
    expect(sent).toEqual(['n2 7']);
  });

  test('takes the place of an older one', () => {
    notices.hold(notice('n2', 7));
    time.advance(1);
    notices.hold(notice('n2', 8));
    time.advance(10);
    expect(sent).toEqual(['n2 8']);
  });

  test('that is dropped never leaves', () => {
    notices.hold(notice('n2', 7));
    time.advance(1);
    notices.hold(notice('n3', 7));
    notices.drop();
    time.advance(10);
    expect(sent).toEqual([]);
  });
});
