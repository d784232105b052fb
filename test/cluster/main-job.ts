/**
 * The main job on the whole package index of this machine, by hand: `npm run main-job`. Prints what it does and the
 * figures; ends with 1 at the first byte that differs.
 */
import { cpus, release } from 'node:os';
import { packageIndex } from './support/package-index.ts';
import { runPackageJob } from './support/package-job.ts';

/** As many as the index of Debian 12 has, for machines that have none. */
const GENERATED_PACKAGES = 63_000;

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const say = (line: string): void => console.log(line);

const { source, records } = await packageIndex(GENERATED_PACKAGES);
say(`${records.length} packages, ${source}; Node ${process.versions.node}, Linux ${release()}, ${cpus().length} cores`);
const report = await runPackageJob(records, say);
const rate = (elapsedMs: number): string =>
  `${(elapsedMs / 1e3).toFixed(2)} s, ${megabytes((report.bytes / elapsedMs) * 1e3)} MB/s`;
say(
  `${report.records} records, ${megabytes(report.bytes)} MB in, ` +
    `while each node was killed once: ${rate(report.produceMs)}`,
);
for (const [id, elapsedMs] of Object.entries(report.consumeMs)) say(`out of ${id} alone: ${rate(elapsedMs)}`);
say('The same bytes came back from every node.');
