/** A Raft configuration read from JSON: entries of the log, snapshots, messages of peers. */
import type { Membership } from '../raft/index.ts';
import { MalformedBytes } from './bytes.ts';

/** @throws MalformedBytes unless the value holds three lists of node ids; anything else in it is left alone. */
export function parseMembership(value: unknown): Membership {
  const { voters, votersOutgoing, learners } = (value ?? {}) as Record<string, unknown>;
  if (!isNodeList(voters) || !isNodeList(votersOutgoing) || !isNodeList(learners)) {
    throw new MalformedBytes('a membership lacks a list of nodes');
  }
  return { voters, votersOutgoing, learners };
}

/** @throws MalformedBytes when the text is not JSON or not a membership. */
export function parseMembershipText(text: string): Membership {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MalformedBytes(`a membership is not JSON: ${String(cause)}`);
  }
  return parseMembership(value);
}

function isNodeList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
