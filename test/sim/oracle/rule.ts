/** What a rule of the judge is. The rules themselves are in rules/, their list in anomalies.ts. */
import type { PartitionView } from './view.ts';

export interface Rule {
  /** The anomaly it finds. */
  readonly name: string;
  /** What is wrong when it is found. */
  readonly sentence: string;
  /** Promise or checker it comes from: P.. of docs/guarantees.md, "Kafka workload" of Jepsen, ... */
  readonly source: string;
  /** Each case in words, with offsets and values. Linear in the history. */
  find(view: PartitionView): Iterable<string>;
}
