/** For `pullring import`: what another program keeps, brought onto this disk. */
export { openAdoption, type Adopted, type Adoption } from "./adoption.ts";
export { directoryTree } from "./directory-tree.ts";
export { readDistribution, type Distribution, type DistributionBlob, type DistributionLink } from "./distribution.ts";
export type { Tree } from "./tree.ts";
