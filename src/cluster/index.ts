/** What nodes share: notices, ownership, presence, growing texts, jobs and limits. Each port has a form for a node that is alone. */
export { ALL_NODES, type Bus, type BusListener, type BusResponder } from './bus.ts';
export { systemClock, type Clock } from './clock.ts';
export type { Job, JobHandler, JobOptions, JobRun, Jobs, JobState } from './job.ts';
export { createJobs, type JobsDeps } from './jobs.ts';
export { fenceFilter, type Lease, type Leases, type Nodes } from './lease.ts';
export { createCluster, type Cluster, type ClusterOptions } from './create-cluster.ts';
export { createLeases, type LeasesDeps } from './leases.ts';
export { createLimits, type Limits, type LimitsOptions, type NamedLimit } from './limits.ts';
export { createMemoryBus } from './memory-bus.ts';
export { createMemoryPresenceRegistry } from './memory-presence-registry.ts';
export { createMemoryStreamLog } from './memory-stream-log.ts';
export { createNodeCalls, type NodeCallHandler, type NodeCalls } from './node-calls.ts';
export { createNodes, type DatabaseNodes } from './nodes.ts';
export type { ByteSink, PulledStreams, StreamSource } from './pulled-stream.ts';
export { createPulledStreams } from './pulled-streams.ts';
export type { ConnectionStatus, PresenceRegistry } from './presence-registry.ts';
export { Rereading, type RereadingDeps } from './rereading.ts';
export type { StreamLog } from './stream-log.ts';
