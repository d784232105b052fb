/**
 * Every metric of a node, declared once: name, kind, unit (in the name), labels and a sentence. Rooms report through
 * the Metrics contract by name; src/server turns the table into a Prometheus scrape. docs/metrics.md is compared with
 * this table by a test. Labels never hold what a client chose: each has a small, closed set of values.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricRow {
  readonly kind: MetricKind;
  readonly sentence: string;
  readonly labels: readonly string[];
  /** Histograms only: upper bounds, ascending. */
  readonly buckets?: readonly number[];
}

export type MetricName =
  | 'logdrive_build_info'
  | 'logdrive_start_time_seconds'
  | 'logdrive_ready'
  | 'logdrive_check_ok'
  | 'logdrive_partitions_led'
  | 'logdrive_event_loop_lag_seconds'
  | 'logdrive_heap_bytes'
  | 'logdrive_resident_memory_bytes'
  | 'logdrive_cpu_seconds_total'
  | 'logdrive_raft_leader_changes_total'
  | 'logdrive_raft_elections_total'
  | 'logdrive_partitions_resting'
  | 'logdrive_partitions_stopped'
  | 'logdrive_stalls_total'
  | 'logdrive_raft_peer_up'
  | 'logdrive_raft_peer_rtt_seconds'
  | 'logdrive_peer_bytes_sent_total'
  | 'logdrive_peer_bytes_received_total'
  | 'logdrive_peer_sends_refused_total'
  | 'logdrive_peer_handshakes_refused_total'
  | 'logdrive_wal_flushes_total'
  | 'logdrive_wal_slow_flushes_total'
  | 'logdrive_wal_flush_stalled'
  | 'logdrive_wal_flush_entries'
  | 'logdrive_wal_flush_bytes_total'
  | 'logdrive_wal_torn_ends_total'
  | 'logdrive_wal_damage_total'
  | 'logdrive_wal_repairs_total'
  | 'logdrive_wal_lost_logs_total'
  | 'logdrive_raft_lost_acks_total'
  | 'logdrive_compaction_runs_total'
  | 'logdrive_compaction_reclaimed_bytes_total'
  | 'logdrive_compaction_opaque_batches_total'
  | 'logdrive_disk_free_bytes'
  | 'logdrive_disk_total_bytes'
  | 'logdrive_disk_space_level'
  | 'logdrive_scrub_bytes_total'
  | 'logdrive_scrub_damage_total'
  | 'logdrive_scrub_last_round_time_seconds'
  | 'logdrive_append_seconds'
  | 'logdrive_append_records_total'
  | 'logdrive_append_bytes_total'
  | 'logdrive_append_errors_total'
  | 'logdrive_duplicates_total'
  | 'logdrive_read_bytes_total'
  | 'logdrive_connections'
  | 'logdrive_connections_total'
  | 'logdrive_connections_refused_total'
  | 'logdrive_ws_protocol_errors_total'
  | 'logdrive_slow_consumer_disconnects_total'
  | 'logdrive_http_requests_total'
  | 'logdrive_http_request_seconds';

/** Seconds. A ping between nodes: from the same machine to another continent. */
const RTT_BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const COUNT_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/** Seconds. A request as its client feels it. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

// biome-ignore format: one row a metric reads as a table.
export const METRICS: Readonly<Record<MetricName, MetricRow>> = {
  logdrive_build_info: { kind: 'gauge', sentence: 'Always 1; its labels name the version and the node.', labels: ['version', 'node'] },
  logdrive_start_time_seconds: { kind: 'gauge', sentence: 'When this process started, in seconds since the epoch.', labels: [] },
  logdrive_ready: { kind: 'gauge', sentence: '1 while /readyz answers 200, else 0.', labels: [] },
  logdrive_check_ok: { kind: 'gauge', sentence: '1 for each check of /readyz that holds, else 0.', labels: ['check'] },
  logdrive_partitions_led: { kind: 'gauge', sentence: 'Partitions this node leads, the catalog included.', labels: [] },
  logdrive_event_loop_lag_seconds: { kind: 'gauge', sentence: 'Longest delay of the event loop since the last scrape.', labels: [] },
  logdrive_heap_bytes: { kind: 'gauge', sentence: 'JavaScript heap in use.', labels: [] },
  logdrive_resident_memory_bytes: { kind: 'gauge', sentence: 'Memory of the process as the operating system sees it.', labels: [] },
  logdrive_cpu_seconds_total: { kind: 'counter', sentence: 'Processor time of the process, user and system.', labels: [] },
  logdrive_raft_leader_changes_total: { kind: 'counter', sentence: 'Times a partition on this node saw a new leader.', labels: [] },
  logdrive_raft_elections_total: { kind: 'counter', sentence: 'Elections this node stood in, each raising the term of a partition.', labels: [] },
  logdrive_partitions_resting: { kind: 'gauge', sentence: "Replicas of this node that count no time: followers whose leader's node is heard, and leaders of idle partitions.", labels: [] },
  logdrive_partitions_stopped: { kind: 'gauge', sentence: 'Partitions stopped on this node: their log cannot be opened, or an entry is damaged on every replica.', labels: [] },
  logdrive_stalls_total: { kind: 'counter', sentence: 'Times the process stood still for half of the shortest election timeout or longer.', labels: [] },
  logdrive_raft_peer_up: { kind: 'gauge', sentence: '1 while the link to the peer is up, else 0.', labels: ['peer'] },
  logdrive_raft_peer_rtt_seconds: { kind: 'histogram', sentence: 'Round trip of a ping on the control lane.', labels: ['peer'], buckets: RTT_BUCKETS },
  logdrive_peer_bytes_sent_total: { kind: 'counter', sentence: 'Bytes sent to peers.', labels: ['lane'] },
  logdrive_peer_bytes_received_total: { kind: 'counter', sentence: 'Bytes received from peers.', labels: ['lane'] },
  logdrive_peer_sends_refused_total: { kind: 'counter', sentence: 'Messages not taken because the peer was down or the lane was full.', labels: ['lane'] },
  logdrive_peer_handshakes_refused_total: { kind: 'counter', sentence: 'Handshakes refused, by either side.', labels: [] },
  logdrive_wal_flushes_total: { kind: 'counter', sentence: 'Flushes that reached the disk.', labels: [] },
  logdrive_wal_slow_flushes_total: { kind: 'counter', sentence: 'Flushes that took longer than half of the longest election timeout.', labels: [] },
  logdrive_wal_flush_stalled: { kind: 'gauge', sentence: '1 while the disk is too slow to lead: leaderships are handed over, else 0.', labels: [] },
  logdrive_wal_flush_entries: { kind: 'histogram', sentence: 'Entries made durable by one flush.', labels: [], buckets: COUNT_BUCKETS },
  logdrive_wal_flush_bytes_total: { kind: 'counter', sentence: 'Bytes of entries made durable.', labels: [] },
  logdrive_wal_torn_ends_total: { kind: 'counter', sentence: 'Torn ends cut when a log was opened.', labels: [] },
  logdrive_wal_damage_total: { kind: 'counter', sentence: 'Damaged places found in stored bytes.', labels: [] },
  logdrive_wal_repairs_total: { kind: 'counter', sentence: 'Damaged entries put right from a peer.', labels: [] },
  logdrive_wal_lost_logs_total: { kind: 'counter', sentence: 'Logs on this node that could not be opened and were set aside to be made anew from the other replicas.', labels: [] },
  logdrive_raft_lost_acks_total: { kind: 'counter', sentence: 'Times a leader on this node found that a follower had lost what it had acked.', labels: ['peer'] },
  logdrive_compaction_runs_total: { kind: 'counter', sentence: 'Passes of key compaction that ended, by how.', labels: ['result'] },
  logdrive_compaction_reclaimed_bytes_total: { kind: 'counter', sentence: 'Bytes of segments that compaction gave back.', labels: [] },
  logdrive_compaction_opaque_batches_total: { kind: 'counter', sentence: 'Batches a pass left alone because their records cannot be looked at.', labels: [] },
  logdrive_disk_free_bytes: { kind: 'gauge', sentence: 'Free space where the data directory lies.', labels: [] },
  logdrive_disk_total_bytes: { kind: 'gauge', sentence: 'Size of the disk where the data directory lies.', labels: [] },
  logdrive_disk_space_level: { kind: 'gauge', sentence: '0: the disk has room; 1: little, a warning was logged; 2: none for appends, which are refused.', labels: [] },
  logdrive_scrub_bytes_total: { kind: 'counter', sentence: 'Bytes of sealed segments read again by the scrub.', labels: [] },
  logdrive_scrub_damage_total: { kind: 'counter', sentence: 'Damaged places that the scrub found and nobody knew of.', labels: [] },
  logdrive_scrub_last_round_time_seconds: { kind: 'gauge', sentence: 'When the scrub last finished a round over all sealed segments, in seconds since the epoch.', labels: [] },
  logdrive_append_seconds: { kind: 'histogram', sentence: 'From the arrival of an append to its answer.', labels: ['face'], buckets: LATENCY_BUCKETS },
  logdrive_append_records_total: { kind: 'counter', sentence: 'Records acknowledged.', labels: ['face'] },
  logdrive_append_bytes_total: { kind: 'counter', sentence: 'Bytes of record batches acknowledged.', labels: ['face'] },
  logdrive_append_errors_total: { kind: 'counter', sentence: 'Appends that failed, by error code.', labels: ['face', 'code'] },
  logdrive_duplicates_total: { kind: 'counter', sentence: 'Appends answered from the table of producers instead of the log.', labels: [] },
  logdrive_read_bytes_total: { kind: 'counter', sentence: 'Bytes of record batches given to readers.', labels: ['face'] },
  logdrive_connections: { kind: 'gauge', sentence: 'Client connections that are open.', labels: ['face'] },
  logdrive_connections_total: { kind: 'counter', sentence: 'Client connections accepted.', labels: ['face'] },
  logdrive_connections_refused_total: { kind: 'counter', sentence: 'Client connections refused: too many, foreign origin, no handshake.', labels: ['face'] },
  logdrive_ws_protocol_errors_total: { kind: 'counter', sentence: 'WebSocket connections closed because of what the client sent.', labels: [] },
  logdrive_slow_consumer_disconnects_total: { kind: 'counter', sentence: 'Clients closed because they did not take what was queued for them.', labels: [] },
  logdrive_http_requests_total: { kind: 'counter', sentence: 'HTTP requests by route, method and status.', labels: ['route', 'method', 'status'] },
  logdrive_http_request_seconds: { kind: 'histogram', sentence: 'From the arrival of a request to the end of its answer.', labels: ['route'], buckets: LATENCY_BUCKETS },
};

export type MetricLabels = Readonly<Record<string, string>>;

export interface Metrics {
  /** Adds to a counter. */
  add(name: MetricName, amount?: number, labels?: MetricLabels): void;
  /** Sets a gauge. */
  set(name: MetricName, value: number, labels?: MetricLabels): void;
  /** Adds a sample to a histogram. */
  observe(name: MetricName, value: number, labels?: MetricLabels): void;
}
