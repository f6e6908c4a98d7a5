/** The protocol's building blocks. Isomorphic: nothing here imports from Node. */
export * from './call.ts';
export * from './fault.ts';
export * from './keyed-queue.ts';
export * from './limits.ts';
export * from './measure.ts';
export * from './operation.ts';
export * from './rooms.ts';
export * from './shapes.ts';
export * from './time.ts';
