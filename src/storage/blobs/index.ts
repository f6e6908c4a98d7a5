export { dispositionOf } from './blob-content.ts';
export type { BlobContent, BlobListing, Blobs, BlobStat, ByteRange, PutOptions, UrlOptions } from './blobs.ts';
export { createBlobs, type BlobsConfig, type OpenBlobs } from './create-blobs.ts';
export { createDiskBlobs } from './disk-blobs.ts';
