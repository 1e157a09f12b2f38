import { memoryBlobStore, memoryRecords } from "../memory-store.ts";
import { blobStoreSuite } from "./blob-store-suite.ts";
import { recordStoreSuite } from "./record-store-suite.ts";
import { spoolSuite } from "./spool-suite.ts";

const close = (): Promise<void> => Promise.resolve();

blobStoreSuite({ name: "memory", open: () => Promise.resolve({ store: memoryBlobStore(), close }) });
spoolSuite({
  name: "memory",
  open: () => Promise.resolve({ spool: (digest, onGrow) => memoryBlobStore().spool(digest, { onGrow }), close }),
});
recordStoreSuite({ name: "memory", open: () => Promise.resolve({ records: memoryRecords(), close }) });
