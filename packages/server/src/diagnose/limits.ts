/** Bounds of the doctor's own questions, unit last in the name. */
export const diagnoseLimits = {
  /** From the look-up of a name to the last byte of the answer. */
  askMs: 5_000,
  answerBytesMax: 64 * 1024,
  redisMs: 5_000,
  /** The trial writes, reads and removes several objects; a slow service takes seconds. */
  s3Ms: 20_000,
  pollMs: 50,
  /** TLS certificates and signatures tolerate a little; what drifts that far drifts on. */
  skewWarnMs: 10_000,
  /** A bearer token of five minutes would be over when it comes; S3 refuses signatures at fifteen. */
  skewFailMs: 300_000,
  diskFreeBytesMin: 1024 ** 3,
  certificateDaysMin: 14,
  /** Part of a quota below which it is told. */
  quotaPartMin: 0.1,
} as const;
