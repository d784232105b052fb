/** A worker thread of the scenario `workers`: answers frames, or does the work of partitions. */
import { parentPort, workerData } from 'node:worker_threads';
import { openAll, perform } from '../journal/small-appends.ts';
import { commitSpeed } from '../scenarios/raft-core.ts';
import { Ring } from './ring.ts';
import type { Assignment } from './work.ts';

const port = parentPort!;
const assignment = workerData as Assignment;

switch (assignment.kind) {
  case 'echo':
    port.on('message', (frame: Uint8Array<ArrayBuffer>) => {
      port.postMessage(frame, assignment.isTransferred ? [frame.buffer] : []);
    });
    break;
  case 'ring': {
    const [requests, answers] = assignment.rings.map((shared) => new Ring(shared)) as [Ring, Ring];
    requests.onFrame((frame) => answers.push(frame));
    // A thread that only waits for memory to change would end.
    port.on('message', () => undefined);
    break;
  }
  case 'raft':
    port.on('message', (entries: number) => port.postMessage(commitSpeed(entries, 1)));
    break;
  case 'logs': {
    const targets = await openAll(assignment.options);
    port.on('message', (seconds: number) => {
      void perform(targets, { perSecond: 0, seconds }).then((done) => port.postMessage(done));
    });
    break;
  }
  default:
    assignment satisfies never;
}
port.postMessage('ready');
