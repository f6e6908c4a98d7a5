export type { BlobContent, BlobListing, Blobs, BlobStat, ByteRange, PutOptions, UrlOptions } from './blobs.ts';
export { createDiskBlobs } from './disk-blobs.ts';
