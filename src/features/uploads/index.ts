/** Files that come and go by HTTP: received as a stream, looked into where it is safe, never believed; given out harmless. */
export { Collector, type CollectorDeps } from './collector.ts';
export { isImageType, TYPE_BYTES } from './image-types.ts';
export { MediaInspector } from './media-inspector.ts';
export type { Picture } from './media-worker.ts';
export { atMost, receiveFile, tooLarge, type Fields, type FileReceiver, type IncomingFile } from './receive-file.ts';
export { serveBlob, type Served } from './serve-blob.ts';
export { createSignedAddresses, type Signature, type SignedAddresses } from './signed-addresses.ts';
export { withHead, type WithHead } from './with-head.ts';
export type { Recording } from './webm.ts';
