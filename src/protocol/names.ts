/**
 * What a topic may be called: an allow-list, so that a name can never be a path, a query, a control sequence or two
 * spellings of one thing (rule S6). Names are for people; directories and the wire carry ids.
 */
import { TOPIC_NAME_BYTES_MAX } from './limits.ts';

const TOPIC_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/** A sentence that says what is wrong with the name, fit for users; undefined when it is fine. */
export function topicNameProblem(name: string): string | undefined {
  if (typeof name !== 'string') return 'A topic name must be a string.';
  if (name.length === 0) return 'A topic name must not be empty.';
  // Every legal character is one byte, so the length in UTF-16 units bounds the length in bytes.
  if (name.length > TOPIC_NAME_BYTES_MAX) {
    return `A topic name has at most ${TOPIC_NAME_BYTES_MAX} characters; this one has ${name.length}.`;
  }
  if (name.startsWith('.')) return 'A topic name must not begin with a dot.';
  if (!TOPIC_NAME.test(name)) return 'A topic name may hold only A-Z, a-z, 0-9, dot, underscore and hyphen.';
  return undefined;
}

const NODE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** As topicNameProblem(), of a node's id. */
export function nodeIdProblem(id: string): string | undefined {
  if (typeof id === 'string' && NODE_ID.test(id)) return undefined;
  return (
    'A node id has 1 to 64 characters of A-Z, a-z, 0-9, dot, underscore and hyphen, ' +
    'and begins with a letter or digit.'
  );
}
