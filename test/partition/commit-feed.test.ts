import { describe, expect, test } from 'vitest';
import { CommitFeed, type WakeReason } from '../../src/partition/commit-feed.ts';

function watched(feed: CommitFeed, ...offsets: readonly number[]): [number, WakeReason][] {
  const woken: [number, WakeReason][] = [];
  for (const offset of offsets) feed.watch(offset, (reason) => woken.push([offset, reason]));
  return woken;
}

describe('waiting for the high watermark', () => {
  test('who waits for an offset wakes when the high watermark is above it, once', () => {
    const feed = new CommitFeed();
    const woken = watched(feed, 4, 5, 6);
    feed.advanced(5);
    expect(woken).toEqual([[4, 'advanced']]);
    feed.advanced(5);
    feed.advanced(7);
    expect(woken).toEqual([
      [4, 'advanced'],
      [5, 'advanced'],
      [6, 'advanced'],
    ]);
    expect(feed.waiters).toBe(0);
  });

  test('who stopped waiting is not woken', () => {
    const feed = new CommitFeed();
    let isWoken = false;
    const waiter = feed.watch(0, () => {
      isWoken = true;
    });
    waiter.cancel();
    waiter.cancel();
    feed.advanced(10);
    expect([isWoken, feed.waiters]).toEqual([false, 0]);
  });

  test('who is cancelled by one that is woken before it is not woken', () => {
    const feed = new CommitFeed();
    const woken: string[] = [];
    feed.watch(0, () => {
      woken.push('first');
      second.cancel();
    });
    const second = feed.watch(0, () => woken.push('second'));
    feed.watch(0, () => woken.push('third'));
    feed.advanced(1);
    expect([woken, feed.waiters]).toEqual([['first', 'third'], 0]);
  });

  test('who waits again while being woken waits for the next offset', () => {
    const feed = new CommitFeed();
    const woken: number[] = [];
    const watch = (offset: number): void => {
      feed.watch(offset, () => {
        woken.push(offset);
        watch(offset + 1);
      });
    };
    watch(0);
    feed.advanced(1);
    expect(woken).toEqual([0]);
    feed.advanced(2);
    expect(woken).toEqual([0, 1]);
  });

  test('closing wakes everybody for good, also who comes later', () => {
    const feed = new CommitFeed();
    const woken = watched(feed, 3, 9);
    feed.close();
    feed.advanced(10);
    expect(woken).toEqual([
      [3, 'closed'],
      [9, 'closed'],
    ]);
    expect(watched(feed, 1)).toEqual([[1, 'closed']]);
  });
});
