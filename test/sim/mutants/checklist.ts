/**
 * The mistakes a durable log has to be proof against, as reports of real systems name them, and the mutants that make
 * each. Written into docs/mutants.md, so that a reader sees that none is left out.
 */
export interface ChecklistItem {
  readonly mistake: string;
  readonly mutants: readonly string[];
}

function item(mistake: string, ...mutants: readonly string[]): ChecklistItem {
  return { mistake, mutants };
}

export const CHECKLIST: readonly ChecklistItem[] = [
  item('ack before fsync', 'frame-not-flushed', 'ack-before-write', 'follower-acks-unflushed', 'ack-on-append'),
  item('fsync of the wrong file', 'another-file-flushed'),
  item('no directory fsync after a rename', 'no-directory-flush-after-rename'),
  item('no directory fsync after a create', 'no-directory-flush-after-create'),
  item('fsync retried after EIO', 'flush-tried-again'),
  item('short write ignored', 'write-error-ignored', 'short-write-ignored'),
  item('vote before saving', 'vote-before-saving', 'own-vote-before-saving', 'messages-before-hard-state'),
  item('vote saved without its term (two writes)', 'vote-without-term'),
  item('vote forgotten on step-down', 'forget-vote-on-step-down'),
  item('own vote forgotten when campaigning', 'forget-own-vote'),
  item('vote for a shorter log', 'vote-for-shorter-log'),
  item('logs compared by length, not term', 'vote-by-length'),
  item('commit by counting an entry of an old term', 'commit-old-term'),
  item('commit with N/2', 'half-is-majority'),
  item('leader counts itself before its own fsync', 'leader-counts-unflushed'),
  item('cut on every append', 'truncate-on-every-append'),
  item('cut to the remembered commit at start', 'cut-to-commit-at-start'),
  item('checksum error in the middle taken for the end', 'damage-taken-for-end'),
  item('bad tail not cut before appending', 'torn-end-kept'),
  item('checksum of headers skipped', 'header-check-skipped'),
  item('checksum without the index', 'index-not-checked'),
  item('entries of a higher term before that term is saved', 'entries-before-term'),
  item('apply before commit', 'apply-before-commit'),
  item('reads up to the last entry', 'read-uncommitted-from-disk', 'read-uncommitted-from-cache'),
  item('read index without a commit of the current term', 'read-index-before-noop'),
  item('read index of a round begun before the request', 'read-index-of-earlier-round', 'read-index-without-round'),
  item('lease from the wall clock', 'lease-from-wall-clock'),
  item('lease kept in a transfer or a pause', 'lease-kept-in-transfer', 'lease-kept-in-pause'),
  item('configuration kept after it was cut', 'membership-kept-after-cut'),
  item('uncommitted configuration in a snapshot', 'uncommitted-membership-in-snapshot'),
  item('old majority of a joint configuration skipped', 'joint-old-majority-skipped', 'joint-old-votes-skipped'),
  item('two configuration changes in flight', 'two-changes-in-flight'),
  item('log trimmed before the snapshot is durable', 'trim-without-snapshot'),
  item('older snapshot installed over newer state', 'install-older-snapshot'),
  item('conflicting suffix kept after an install', 'keep-suffix-after-install'),
  item('de-duplication missing from snapshots', 'dedupe-not-in-snapshot'),
  item('de-duplication without the epoch', 'dedupe-without-epoch'),
  item('offsets counted from the index', 'offset-from-index'),
  item('cursor moved before the send succeeded', 'cursor-before-delivery'),
  item('long poll woken at the append', 'woken-at-append'),
  item('wiped node votes', 'wiped-node-votes'),
  item('quarantined node votes', 'quarantined-node-votes'),
  item('pre-vote changes the term', 'pre-vote-changes-term'),
  item('election timer not reset by a granted vote', 'voter-does-not-wait'),
  item('snapshot chunk of an old term taken', 'snapshot-chunk-of-old-term'),
  item('ack beyond what matched', 'ack-beyond-match'),
  item('heartbeat with a commit beyond what matched', 'heartbeat-commit-beyond-match'),
];
