import { Agent as PlainAgent } from "node:http";
import { Agent as TlsAgent } from "node:https";

import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";

export interface ClientOptions {
  /** Unset: the SDK's own sources, and for other services than AWS a name that they accept. */
  readonly region?: string | undefined;
  /** Unset: AWS. */
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  /** Asked for every request. Unset: the SDK's chain, which knows environment, files, web identity and instances. */
  readonly credentials?: S3Credentials | undefined;
  readonly clock: Clock;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: () => string | undefined;
}

export interface Client {
  readonly s3: S3Client;
  socketsInUse(): number;
  close(): void;
}

/** Any HTTP server answers to this; only AWS knows the streamed trailers that newer SDKs send by default. */
const regionElsewhere = "us-east-1";

export function isAws(endpoint: string | undefined): boolean {
  return endpoint === undefined || /\.amazonaws\.com(?:\.cn)?$/.test(new URL(endpoint).hostname);
}

export function makeClient(options: ClientOptions): Client {
  const { endpoint, forcePathStyle = false } = options;
  const region = options.region ?? (isAws(endpoint) ? undefined : regionElsewhere);
  const httpAgent = new PlainAgent({ keepAlive: true, maxSockets: limits.socketsMax });
  const httpsAgent = new TlsAgent({ keepAlive: true, maxSockets: limits.socketsMax });
  const silent = (): void => {};
  const s3 = new S3Client({
    forcePathStyle,
    // Bodies are streams, which the SDK could not send twice: attempts are counted by whoever has the file.
    maxAttempts: 1,
    // Costs a connection per request, and a HEAD says before whether the body is wanted.
    expectContinueHeader: false,
    followRegionRedirects: isAws(endpoint),
    // What comes back is compared with its digest, which is more than its checksum.
    responseChecksumValidation: "WHEN_REQUIRED",
    requestChecksumCalculation: isAws(endpoint) ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
    requestHandler: {
      connectionTimeout: limits.connectMs,
      // Every body is watched where it is sent or read: this one also counts the time that a slow reader of ours takes.
      socketTimeout: 0,
      throwOnRequestTimeout: true,
      httpAgent,
      httpsAgent,
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...credentialsOf(options),
  });
  const inUse = (agent: PlainAgent | TlsAgent): number =>
    Object.values(agent.sockets).reduce((sum, sockets) => sum + (sockets?.length ?? 0), 0);
  return { s3, socketsInUse: () => inUse(httpAgent) + inUse(httpsAgent), close: () => s3.destroy() };
}

function credentialsOf({ credentials, clock }: ClientOptions): Pick<S3ClientConfig, "credentials"> {
  if (!credentials) return {};
  const { accessKeyId, secretAccessKey } = credentials;
  // What has expired is asked for again: so a secret that changes is seen by the next request.
  const read = (): Promise<{ accessKeyId: string; secretAccessKey: string; expiration: Date }> =>
    Promise.resolve({ accessKeyId, secretAccessKey: secretAccessKey() ?? "", expiration: new Date(clock.now()) });
  return { credentials: read };
}
