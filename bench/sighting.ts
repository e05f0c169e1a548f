/** When a server began (`up`) or ceased to answer. */
export interface Sighting {
  /** Milliseconds of the system's monotonic clock, the same in every process of a machine. */
  readonly atMs: number;
  readonly up: boolean;
}

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
