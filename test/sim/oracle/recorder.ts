/** Writes a history while clients work: each call is numbered when it begins and closed when its answer comes. */
import type { Answer, Call, HistoryEvent, Note } from './history.ts';

export class Recorder {
  readonly events: HistoryEvent[] = [];
  readonly #onEvent: ((event: HistoryEvent) => void) | undefined;
  #calls = 0;

  /** @param onEvent Is given every event at once, e.g. to append it to a file that outlives this process. */
  constructor(onEvent?: (event: HistoryEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** To be called before anything of the call leaves the client. Returns its number. */
  begin(call: Call): number {
    this.#calls += 1;
    this.#push({ ...call, op: this.#calls });
    return this.#calls;
  }

  /** To be called as soon as the client has its answer. */
  end(op: number, answer: Answer): void {
    this.#push({ ...answer, op });
  }

  note(note: Note): void {
    this.#push(note);
  }

  #push(event: HistoryEvent): void {
    this.events.push(event);
    this.#onEvent?.(event);
  }
}
