export { lockDisk, type DiskLock } from "./disk-lock.ts";
export { openDisk, type Disk, type DiskOptions } from "./disk.ts";
export { openRecords, type Records, type RecordsOptions, type StoredRecord } from "./records.ts";
export type { Log } from "./log.ts";
export { makeMemory, type Memory, type MemoryOptions } from "./memory.ts";
