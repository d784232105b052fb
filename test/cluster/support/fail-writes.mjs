/**
 * Loaded into a node before it starts (NODE_OPTIONS=--import): from SIGUSR2 on, durable writes fail with the error that
 * FAIL_WRITES_WITH names, as those of a disk that died or was remounted read-only; until the next SIGUSR2.
 */
import fs from 'node:fs';

const { writev } = fs;
let isFailing = false;

process.on('SIGUSR2', () => {
  const code = process.env.FAIL_WRITES_WITH;
  isFailing = !isFailing;
  fs.writev = !isFailing
    ? writev
    : (_fd, _chunks, _position, done) => {
        process.stderr.write(`failing a write with ${code}\n`);
        setImmediate(() => done(Object.assign(new Error(code), { code }), 0));
      };
});
