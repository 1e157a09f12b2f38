import { laneBoards } from "../lane-boards.ts";
import { leaseTable } from "../lease-table.ts";
import { memoryBlobStore, memoryRecords } from "../memory-store.ts";
import { virtualClock } from "../virtual-clock.ts";
import { blobStoreSuite } from "./blob-store-suite.ts";
import { laneBoardSuite } from "./lane-board-suite.ts";
import { leaseSuite } from "./lease-suite.ts";
import { recordStoreSuite } from "./record-store-suite.ts";
import { spoolSuite } from "./spool-suite.ts";

const close = (): Promise<void> => Promise.resolve();

blobStoreSuite({ name: "memory", open: () => Promise.resolve({ store: memoryBlobStore(), close }) });
spoolSuite({
  name: "memory",
  open: () => Promise.resolve({ spool: (digest, onGrow) => memoryBlobStore().spool(digest, { onGrow }), close }),
});
recordStoreSuite({ name: "memory", open: () => Promise.resolve({ records: memoryRecords(), close }) });
leaseSuite({
  name: "memory",
  ttlMs: 15_000,
  renewedWithinMs: 6_000,
  open: () => {
    const clock = virtualClock();
    const table = leaseTable(clock, () => true);
    return Promise.resolve({ of: (node) => table.of(node), advance: (ms) => clock.advance(ms), close });
  },
});
laneBoardSuite({
  name: "memory",
  open: () => {
    const clock = virtualClock();
    const boards = laneBoards(clock);
    return Promise.resolve({ of: (node) => boards.of(node), advance: (ms) => clock.advance(ms), close });
  },
});
