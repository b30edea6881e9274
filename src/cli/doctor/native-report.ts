// What the native core says of this process: the JSON of weft_doctor and of weft_probe_measure (docs/doctor.md).

export interface ProviderReport {
  readonly name: string;
  readonly endpoints: readonly string[];
  readonly domains: readonly string[];
  readonly messages: boolean;
  readonly rma: boolean;
  readonly usable: boolean;
}

export interface NativeReport {
  readonly compiler: string;
  readonly libfabric: {
    readonly version?: string;
    readonly path?: string;
    readonly providers?: readonly ProviderReport[];
    readonly error?: string;
  };
  /** "tcp: tcp;ofi_rxm of libfabric 1.17 on eth0 …", "cxi: not taken: …". */
  readonly transports: readonly string[];
  readonly transportsError?: string;
  readonly mpi: {
    readonly family: string;
    readonly reason: string;
    readonly module: string;
    readonly modules: readonly string[];
    /** That the launcher says it started; 0: it does not say. */
    readonly ranks: number;
    readonly error?: string;
  };
  readonly numaNode: number;
  readonly slingshot: {
    readonly devices: readonly string[];
    readonly error?: string;
    readonly device?: string;
    readonly reason?: string;
    readonly vni?: number;
    readonly serviceId?: number;
    readonly reachesJob?: boolean;
    readonly advice?: string;
  };
}

export interface Measurement {
  readonly transport: string;
  readonly connectUs: number;
  /** Half a round trip of 56 bytes. */
  readonly latencyP50Us: number;
  readonly latencyP99Us: number;
  readonly readBytesPerSecond: number;
  readonly writeBytesPerSecond: number;
  readonly bytesChecked: number;
  /** The other's time stamps minus ours, right to clockErrorUs. */
  readonly clockOffsetUs: number;
  readonly clockErrorUs: number;
}

/** "0.31 us one way (p99 0.40 us), reads 5.9 GB/s, writes 7.1 GB/s". */
export function measurementText(measured: Measurement): string {
  return [
    `${timeText(measured.latencyP50Us)} one way (p99 ${timeText(measured.latencyP99Us)})`,
    `reads ${rateText(measured.readBytesPerSecond)}`,
    `writes ${rateText(measured.writeBytesPerSecond)}`,
  ].join(", ");
}

/** "0.31 us", "12.4 us", "3,880 us". */
export function timeText(us: number): string {
  const digits = Math.abs(us) >= 100 ? 0 : Math.abs(us) >= 10 ? 1 : 2;
  return `${us.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })} us`;
}

/** "5.93 GB/s". */
export function rateText(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e9).toPrecision(3)} GB/s`;
}
