/** The connection to an S3 store, by the SDK of AWS, which is loaded here and nowhere else. */
import type { S3 } from '@aws-sdk/client-s3';

export interface S3Place {
  bucket: string;
  /** The folder of the bucket that is ours; without it the whole bucket. */
  prefix?: string | undefined;
  region: string;
  /** A store other than AWS. */
  endpoint?: string | undefined;
  /** Both or none; without them the SDK looks where AWS keeps them. */
  accessKeyId?: string | undefined;
  secretAccessKey?: string | undefined;
}

/** A request is tried so often, with pauses that grow. */
const TRIES = 3;
const CONNECT_MS = 3_000;
/** Until the answer begins: a part of a large blob has to be sent meanwhile. */
const ANSWER_MS = 60_000;
/** A body that nobody reads is given up after this. */
const IDLE_MS = 120_000;
/** Every download that is under way has one: as many slow readers must not keep others from the store. */
const MOST_CONNECTIONS = 500;

export async function connectS3({ region, endpoint, accessKeyId, secretAccessKey }: S3Place): Promise<S3> {
  const { S3 } = await import('@aws-sdk/client-s3');
  const agent = { keepAlive: true, maxSockets: MOST_CONNECTIONS };
  return new S3({
    region,
    // Hosts named after buckets are AWS's own.
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey } }
      : {}),
    // Other stores do not know the checksums that the SDK would add, nor answer its question whether to send.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    maxAttempts: TRIES,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: ANSWER_MS,
      throwOnRequestTimeout: true,
      socketTimeout: IDLE_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
}
