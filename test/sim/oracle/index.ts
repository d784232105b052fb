/** The door of the client oracle: write a history with Recorder, keep it in a file, judge it. */

export { RULES } from './anomalies.ts';
export {
  type Answer,
  type Call,
  decodeHistory,
  encodeEvent,
  encodeHeader,
  encodeHistory,
  type HistoryEvent,
  isCall,
  type Level,
  type Note,
  type Outcome,
  type Producer,
  type Sighting,
} from './history.ts';
export { type Anomaly, type Counts, describeAnomalies, judge, type Verdict } from './judge.ts';
export { Recorder } from './recorder.ts';
