import { describe, expect, test } from 'vitest';
import { Progress } from '../../src/raft/progress.ts';
import type { AppendReply } from '../../src/raft/types.ts';

const CAPS = { inflightBytesMax: 1000, inflightMessagesMax: 3 };
const LAST = 100;

/** A follower whose log was found to agree up to `match`, in state replicate. */
function replicating(match: number): Progress {
  const progress = new Progress('n2', match + 1, CAPS);
  progress.requested();
  progress.sent(match + 1, 10, 0, 1);
  progress.accepted(match + 1, 0, 1);
  expect(progress).toMatchObject({ state: 'replicate', match: match + 1, next: match + 2 });
  return progress;
}

function refusal(index: number, hintIndex: number, lastIndex: number = hintIndex): AppendReply {
  const envelope = { kind: 'append-reply', from: 'n2', to: 'n1', term: 1 } as const;
  return { ...envelope, accepted: false, index, hint: { term: 1, index: hintIndex }, lastIndex };
}

function send(progress: Progress, last: number, bytes = 10): void {
  progress.requested();
  progress.sent(last, bytes, 0, 1);
}

describe('a follower being probed', () => {
  test('is sent one append, and the next after an answer', () => {
    const progress = new Progress('n2', 11, CAPS);
    expect(progress.canRequest(LAST)).toBe(true);
    send(progress, 20);
    expect(progress.canRequest(LAST)).toBe(false);
    progress.accepted(15, 0, 1);
    expect(progress).toMatchObject({ state: 'replicate', match: 15, next: 21 });
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test.each([
    { name: 'of the probe', index: 10, outcome: 'backtrack', next: 5 },
    { name: 'of a check behind the probe', index: 20, outcome: 'backtrack', next: 5 },
    { name: 'of something else', index: 13, outcome: 'stale', next: 21 },
  ])('answers a refusal $name: $outcome', ({ index, outcome, next }) => {
    const progress = new Progress('n2', 11, CAPS);
    send(progress, 20);
    expect(progress.refused(refusal(index, 4), 4)).toBe(outcome);
    expect(progress).toMatchObject({ state: 'probe', next });
  });

  test('has one request open at a time', () => {
    const progress = new Progress('n2', 11, CAPS);
    progress.requested();
    expect(progress.canRequest(LAST)).toBe(false);
    progress.heard();
    expect(progress.canRequest(LAST)).toBe(false);
  });

  test('needs the state when the logs agree nowhere above the log start', () => {
    const progress = new Progress('n2', 11, CAPS);
    send(progress, 20);
    expect(progress.refused(refusal(10, 2), undefined)).toBe('backtrack');
    expect(progress).toMatchObject({ state: 'snapshot', match: 0, next: 1 });
  });
});

describe('a follower being replicated to', () => {
  test('is sent appends in a pipeline until the window is full of messages', () => {
    const progress = replicating(10);
    for (const last of [12, 13, 14]) send(progress, last);
    expect(progress.canRequest(LAST)).toBe(false);
    progress.accepted(12, 0, 1);
    expect(progress).toMatchObject({ match: 12, next: 15, inflightMessages: 2 });
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test('is sent appends until the window is full of bytes', () => {
    const progress = replicating(10);
    send(progress, 12, 600);
    expect(progress.windowBytes).toBe(400);
    send(progress, 13, 400);
    expect(progress.canRequest(LAST)).toBe(false);
    progress.accepted(13, 0, 1);
    expect(progress).toMatchObject({ inflightBytes: 0, windowBytes: 1000 });
  });

  test('is asked nothing when it has everything', () => {
    expect(replicating(10).canRequest(11)).toBe(false);
  });

  test('an old ack moves nothing back', () => {
    const progress = replicating(10);
    expect(progress.accepted(5, 0, 1)).toBe(false);
    expect(progress).toMatchObject({ match: 11, next: 12 });
  });

  test('a refusal sends it back to probing, behind what matches at least', () => {
    const progress = replicating(10);
    for (const last of [12, 13, 14]) send(progress, last);
    expect(progress.refused(refusal(13, 12), 12)).toBe('backtrack');
    expect(progress).toMatchObject({ state: 'probe', next: 13, inflightMessages: 0 });
    const other = replicating(10);
    send(other, 20);
    other.refused(refusal(20, 11), 3);
    expect(other).toMatchObject({ state: 'probe', match: 11, next: 12 });
  });

  test('a refusal below what matches is old news', () => {
    const progress = replicating(10);
    send(progress, 20);
    expect(progress.refused(refusal(10, 9), 9)).toBe('stale');
    expect(progress).toMatchObject({ state: 'replicate', next: 21 });
  });
});

describe('silence', () => {
  test.each([
    { name: 'the answered round began before the last sign of progress', answered: 1, isSent: true, needs: false },
    { name: 'the answered round began later', answered: 2, isSent: true, needs: true },
    { name: 'nothing is in flight', answered: 2, isSent: false, needs: false },
  ])('calls for a check or not: $name', ({ answered, isSent, needs }) => {
    const progress = replicating(10);
    if (isSent) send(progress, 20);
    expect(progress.needsCheck(answered, 2)).toBe(needs);
  });

  test('calls for one check a round', () => {
    const progress = replicating(10);
    send(progress, 20);
    expect([2, 2, 3].map((round) => progress.needsCheck(round, round))).toEqual([true, false, true]);
  });

  test('an ack is a sign of progress', () => {
    const progress = replicating(10);
    send(progress, 20);
    send(progress, 30);
    progress.accepted(20, 0, 5);
    expect(progress.needsCheck(5, 6)).toBe(false);
    expect(progress.needsCheck(6, 6)).toBe(true);
  });
});

describe('a send that failed', () => {
  test('is asked for again when the follower is heard', () => {
    const progress = replicating(10);
    progress.requested();
    progress.sendFailed();
    expect(progress.canRequest(LAST)).toBe(false);
    progress.heard();
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test('is asked for again at once when the request was overtaken', () => {
    const progress = replicating(10);
    send(progress, 20);
    progress.requested();
    progress.refused(refusal(20, 11), 11);
    progress.sendFailed();
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test('loses what was in flight when the link broke', () => {
    const progress = replicating(10);
    send(progress, 20);
    progress.linkDown();
    expect(progress).toMatchObject({ state: 'probe', next: 12, inflightMessages: 0, isPaused: true });
    const probed = new Progress('n2', 50, CAPS);
    send(probed, 60);
    probed.linkDown();
    expect(probed).toMatchObject({ state: 'probe', next: 50 });
  });
});

describe('a follower that needs the state', () => {
  function behind(): Progress {
    const progress = new Progress('n2', 11, CAPS);
    progress.becomeSnapshot();
    progress.requested();
    return progress;
  }

  test('is sent nothing else, and is replicated to after it answered', () => {
    const progress = behind();
    progress.snapshotSent();
    expect(progress.canRequest(LAST)).toBe(false);
    progress.snapshotAnswered(40, 40, 1);
    expect(progress).toMatchObject({ state: 'replicate', match: 40, next: 41 });
  });

  test('is sent it again when no answer came for long enough', () => {
    const progress = behind();
    progress.snapshotSent();
    for (let i = 0; i < 39; i += 1) progress.tick(true);
    progress.snapshotOverdue(40);
    expect(progress.canRequest(LAST)).toBe(false);
    progress.tick(true);
    progress.snapshotOverdue(40);
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test('still needs it when the log start moved past the state it got', () => {
    const progress = behind();
    progress.snapshotSent();
    progress.snapshotAnswered(40, 45, 1);
    expect(progress).toMatchObject({ state: 'snapshot', match: 40 });
    expect(progress.canRequest(LAST)).toBe(true);
  });

  test('may turn out to have caught up by itself', () => {
    const progress = behind();
    progress.snapshotSent();
    progress.accepted(42, 40, 1);
    expect(progress).toMatchObject({ state: 'replicate', match: 42, next: 43 });
  });
});

describe('a follower whose log seems to have shrunk (R21)', () => {
  function suspect(): Progress {
    const progress = replicating(10);
    send(progress, 20);
    expect(progress.refused(refusal(20, 5), 5)).toBe('suspect');
    return progress;
  }

  test('is not counted and sent nothing until a check is answered', () => {
    const progress = suspect();
    expect(progress).toMatchObject({ isSuspect: true, match: 11, countedMatch: 0, next: 12 });
    expect(progress.canRequest(LAST)).toBe(false);
    expect(progress.needsCheck(2, 2)).toBe(true);
  });

  test('counts again when the check is accepted', () => {
    const progress = suspect();
    expect(progress.accepted(11, 0, 1)).toBe(true);
    expect(progress).toMatchObject({ isSuspect: false, countedMatch: 11, state: 'replicate' });
  });

  test('an ack from before does not clear it', () => {
    const progress = suspect();
    expect(progress.accepted(10, 0, 1)).toBe(false);
    expect(progress).toMatchObject({ isSuspect: true, countedMatch: 0 });
  });

  test('has lost acked entries when the check is refused; they are sent anew', () => {
    const progress = suspect();
    expect(progress.refused(refusal(20, 5), 5)).toBe('stale');
    expect(progress.refused(refusal(11, 5), 5)).toBe('lost-acks');
    expect(progress).toMatchObject({ state: 'probe', match: 0, countedMatch: 0, next: 6, isSuspect: false });
  });

  test('is suspected as well when an entry it acked is refused in place', () => {
    const progress = replicating(10);
    send(progress, 20);
    expect(progress.refused(refusal(11, 8, 30), 8)).toBe('suspect');
  });
});

describe('a follower whose link broke while nothing was in flight', () => {
  test('is checked at what it acked once it answers again, so that lost acks are noticed without an append (R21)', () => {
    const progress = replicating(10);
    expect(progress.needsCheck(5, 5)).toBe(false);
    progress.linkDown();
    expect(progress.needsCheck(6, 6)).toBe(true);
    expect(progress.next).toBe(12);
    // The check behind its last ack is refused twice: its log is shorter than what it acked.
    expect(progress.refused(refusal(11, 7, 7), 7)).toBe('suspect');
    expect(progress.countedMatch).toBe(0);
    expect(progress.refused(refusal(11, 7, 7), 7)).toBe('lost-acks');
    expect(progress).toMatchObject({ state: 'probe', next: 8 });
  });

  test('is left alone once the check was accepted', () => {
    const progress = replicating(10);
    progress.linkDown();
    expect(progress.needsCheck(6, 6)).toBe(true);
    progress.accepted(11, 0, 6);
    expect(progress.needsCheck(7, 7)).toBe(false);
    expect(progress.state).toBe('replicate');
  });
});
