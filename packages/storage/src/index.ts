export { lockDisk, type DiskLock } from "./disk-lock.ts";
export { openDisk, type Disk, type DiskOptions } from "./disk.ts";
export { openRecords, type Records, type RecordsOptions, type StoredRecord } from "./records.ts";
export type { Log } from "./log.ts";
export { makeMemory, type Memory, type MemoryOptions } from "./memory.ts";
export { openS3, type S3, type S3Options, type Tombstones } from "./s3/s3.ts";
export type { Capabilities } from "./s3/capabilities.ts";
export type { S3Event } from "./s3/observe.ts";
export { withSharedRecords } from "./s3/shared-records.ts";
