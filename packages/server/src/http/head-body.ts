import type { Body } from "@pullring/core";

/** Stands for a body that only its size is told of: for HEAD, where no byte is sent. */
export const headBody = (size: number): Body => ({
  size,
  next: () => Promise.reject(new Error("a HEAD has no bytes")),
  close: () => {},
});
