export { type BudgetRig, budgetSuite, type BudgetSuiteOptions } from "./budget-suite.ts";
export { blobStoreSuite, type BlobStoreSuiteOptions, keep } from "./blob-store-suite.ts";
export { laneBoardSuite, type LaneBoardRig, type LaneBoardSuiteOptions, sampleLane } from "./lane-board-suite.ts";
export { leaseSuite, type LeaseRig, type LeaseSuiteOptions } from "./lease-suite.ts";
export { memoryStoreSuite, type MemoryStoreSuiteOptions } from "./memory-store-suite.ts";
export { bytesOf, readBody } from "./read-body.ts";
export { recordStoreSuite, type RecordStoreSuiteOptions, trickyKeys } from "./record-store-suite.ts";
export { sampleBytes, sampleDigest } from "./sample.ts";
export {
  appendAll,
  chunksOf,
  follow,
  type Grown,
  openGrown,
  spoolSuite,
  type SpoolSuiteOptions,
} from "./spool-suite.ts";
