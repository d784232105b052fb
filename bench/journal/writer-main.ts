/** One process that makes small appends to many logs. Started by the scenario `journal`, which says what and when. */
import { openAll, perform, type Work, type WriterOptions } from './small-appends.ts';

const targets = await openAll(JSON.parse(process.argv[2]!) as WriterOptions);
process.on('message', (work: Work) => {
  void perform(targets, work).then((done) => process.send!(done));
});
// Who started it is gone: nobody wants more of this.
process.on('disconnect', () => process.exit());
process.send!('ready');
