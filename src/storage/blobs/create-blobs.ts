/** The form that a configuration asks for. */
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import type { Blobs } from './blobs.ts';
import { createDiskBlobs } from './disk-blobs.ts';
import { createS3Blobs } from './s3-blobs.ts';

export interface BlobsConfig {
  dataDir: string;
  /** With it the blobs are objects of this bucket, else files in `dataDir`. */
  s3Bucket: string | undefined;
  s3Prefix: string | undefined;
  s3Endpoint: string | undefined;
  awsRegion: string;
  awsAccessKeyId: string | undefined;
  awsSecretAccessKey: string | undefined;
}

export interface OpenBlobs {
  blobs: Blobs;
  /** Of a store elsewhere: whether it answers, as far as is known. */
  isReachable?: () => boolean;
  close(): Promise<void>;
}

export async function createBlobs(config: BlobsConfig, { log }: { log: Log }): Promise<OpenBlobs> {
  const { dataDir, s3Bucket } = config;
  if (s3Bucket === undefined) {
    return { blobs: await createDiskBlobs({ directory: join(dataDir, 'blobs') }), close: async () => {} };
  }
  const blobs = await createS3Blobs({
    bucket: s3Bucket,
    prefix: config.s3Prefix,
    endpoint: config.s3Endpoint,
    region: config.awsRegion,
    accessKeyId: config.awsAccessKeyId,
    secretAccessKey: config.awsSecretAccessKey,
    spoolDirectory: join(dataDir, 'spool'),
    log,
  });
  return { blobs, isReachable: () => blobs.isReachable(), close: () => blobs.close() };
}
