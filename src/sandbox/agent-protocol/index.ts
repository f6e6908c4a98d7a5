/** What a server and the agent in a sandbox share. docs/agent-protocol.md is its description. Imports nothing of the rest. */
export * from './byte-ring.ts';
export * from './codec.ts';
export * from './frame-budget.ts';
export * from './frame.ts';
export * from './limits.ts';
export * from './messages.ts';
export * from './protocol-error.ts';
export { LISTENER, openShape, sizeShape, spawnShape } from './shapes.ts';
