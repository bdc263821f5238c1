/**
 * Storm: brings the faults about. Each seed has weather of its own: some kinds of faults often,
 * some never, so that over many seeds every mixture comes up (swarm testing: Groce and others,
 * 2012).
 */
import type { Chance } from './chance.ts'
import type { DiskImage } from './crash-disk.ts'
import { type Fault, FEATURES, type Tally } from './faults.ts'
import type { RemoteHost } from './host.ts'
import type { Position } from './lens.ts'
import type { Machine } from './machine.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'
import { FAIR } from './wire.ts'

const PAUSE_MS = 14_000
const OUTAGE_MS = 45_000
/** Less than half of what the remote tolerates: two clocks may be wrong in opposite directions. */
const SKEW_MS = 140_000
const HOURS_MS = 9 * 3_600_000
const WRITES_BEFORE_CRASH = 12
const SLOW_MS = 400
const COPIES_MAX = 2
/** A device makes a remote begin a new SyncId a few times a day only. */
const SPOILS_MAX = 3
const LOOK_MS = 500
const LOOKS_MAX = 200

export type StormParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly tally: Tally
  readonly trace: Trace
  readonly host: RemoteHost
  readonly machines: readonly Machine[]
  /** A disk holds something else than before: some versions may be nowhere any more. */
  readonly onLoss: () => void
  /** The same folder on another machine, from now on used on both. */
  readonly copy: (machine: Machine) => Promise<Machine>
}

type Trouble = () => void | Promise<void>

export class Storm {
  readonly #parts: StormParts
  readonly #chance: Chance
  readonly #troubles: readonly Trouble[]
  readonly #images = new Map<Machine | RemoteHost, DiskImage>()
  #isOver = false
  #copyCount = 0
  #spoilCount = 0

  constructor(parts: StormParts) {
    this.#parts = parts
    this.#chance = parts.chance.fork('storm')
    for (const machine of parts.machines) this.#setWeather(machine)
    const families = this.#families()
    const some = families.filter(() => this.#chance.oneIn(2))
    this.#troubles = (some.length > 0 ? some : families).flat()
    this.#plan()
  }

  /** Everything that can be mended without losing anything is mended. */
  end(): void {
    this.#isOver = true
    const { machines, host, trace } = this.#parts
    trace.note('world', 'the storm is over')
    for (const { wire, clock, disk } of machines) {
      Object.assign(wire.weather, FAIR)
      // Those that stood still go on from where the others are.
      clock.set(this.#isSet(clock.skewMs))
      disk.isFull = false
      disk.slowMs = 0
      disk.plan = undefined
    }
    host.disk.isFull = false
    host.disk.slowMs = 0
    host.disk.plan = undefined
    host.start()
    for (const machine of machines) machine.start()
  }

  #isSet(skewMs: number): number {
    return Math.abs(skewMs) <= SKEW_MS || FEATURES.clockCorrection ? skewMs : 0
  }

  #setWeather({ wire }: Machine): void {
    const often = (percent: number): number =>
      this.#chance.oneIn(2) ? 0 : this.#chance.below(percent + 1)
    Object.assign(wire.weather, {
      lossPercent: often(8),
      refusalPercent: often(15),
      duplicatePercent: often(20),
      latePercent: often(8),
      cutPercent: often(20),
      framePercent: often(12),
      latencyMs: this.#chance.pick([5, 40, 300, 2_000]),
    })
  }

  #plan(): void {
    this.#parts.scheduler.after(500 + this.#chance.below(PAUSE_MS), () => {
      if (this.#isOver) return
      void this.#chance.pick(this.#troubles)()
      this.#plan()
    })
  }

  #families(): Trouble[][] {
    return [
      [() => this.#partition(), () => this.#partition(), () => this.#rush()],
      [() => this.#killDevice(), () => this.#planDeviceCrash('kill')],
      [() => this.#cutPowerOfDevice(), () => this.#planDeviceCrash('power')],
      [() => this.#killRemote(), () => this.#planRemoteCrash(), () => this.#cutPowerOfRemote()],
      [() => this.#fillDisk(), () => this.#slowDisk()],
      [() => this.#moveClock(), () => this.#moveRemoteClock()],
      [() => this.#takeFolderImage(), () => this.#putFolderBack(), () => this.#deleteFolder()],
      ...(FEATURES.copiedFolders ? [[() => this.#copyFolder()]] : []),
      ...(FEATURES.healing ? [[() => this.#spoilRemote(), () => this.#spoilRemote()]] : []),
    ]
  }

  // --- the network ---

  #partition(): void {
    const machine = this.#machine()
    const kind = this.#chance.pick(['silent', 'refused'] as const)
    this.#note(machine.name, `partition, ${kind}`)
    machine.wire.weather.partition = kind
    if (kind === 'refused') machine.wire.cutLines()
    this.#later(2, () => {
      machine.wire.weather.partition = 'none'
      machine.note('the partition is over')
    })
  }

  /** The network is back for everybody at once, and everybody wants to sync. */
  #rush(): void {
    this.#parts.trace.note('world', 'everybody goes online at once')
    for (const machine of this.#parts.machines) {
      machine.wire.weather.partition = 'none'
      machine.wantsLive = true
      machine.vault?.sync.start()
    }
  }

  // --- processes ---

  #killDevice(): void {
    this.#crashDevice(this.#machine(), 'device killed', 'kill')
  }

  #cutPowerOfDevice(): void {
    this.#crashDevice(this.#machine(), 'device without power', 'power')
  }

  #planDeviceCrash(how: 'kill' | 'power'): void {
    const machine = this.#machine()
    const moment = this.#chance.pick(['before', 'after'] as const)
    machine.disk.plan = {
      left: this.#chance.below(WRITES_BEFORE_CRASH),
      moment,
      crash: () => this.#crashDevice(machine, `device killed ${moment} a write`, how),
    }
  }

  #crashDevice(machine: Machine, fault: Fault, how: 'kill' | 'power'): void {
    if (!machine.isUp || this.#isOver) return
    this.#note(machine.name, fault)
    if (how === 'kill') machine.kill()
    else void this.#losePower(machine)
    this.#later(1, () => machine.start())
  }

  async #losePower(machine: Machine): Promise<void> {
    this.#parts.tally.count('device without power')
    const lost = await machine.cutPower()
    machine.note(`lost ${lost} unsynced batches`)
    if (lost > 0) this.#parts.tally.count('device lost unsynced writes')
    this.#parts.onLoss()
  }

  #killRemote(): void {
    this.#crashRemote('remote killed')
  }

  #cutPowerOfRemote(): void {
    if (this.#parts.host.isUp) void this.#losePowerOfRemote()
    this.#crashRemote('remote without power')
  }

  async #losePowerOfRemote(): Promise<void> {
    const { host } = this.#parts
    host.kill()
    await host.disk.cutPower()
    this.#parts.onLoss()
  }

  #planRemoteCrash(): void {
    const moment = this.#chance.pick(['before', 'after'] as const)
    this.#parts.host.disk.plan = {
      left: this.#chance.below(WRITES_BEFORE_CRASH),
      moment,
      crash: () => this.#crashRemote(`remote killed ${moment} a write`),
    }
  }

  #crashRemote(fault: Fault): void {
    const { host } = this.#parts
    this.#note('remote', fault)
    host.kill()
    this.#later(1, () => host.start())
  }

  // --- disks ---

  #fillDisk(): void {
    const isRemote = this.#chance.oneIn(3)
    const { disk } = isRemote ? this.#parts.host : this.#machine()
    this.#note('world', isRemote ? 'remote disk full' : 'device disk full')
    disk.isFull = true
    this.#later(3, () => {
      disk.isFull = false
    })
  }

  #slowDisk(): void {
    const isRemote = this.#chance.oneIn(3)
    const { disk } = isRemote ? this.#parts.host : this.#machine()
    this.#note('world', isRemote ? 'remote disk slow' : 'device disk slow')
    disk.slowMs = 1 + this.#chance.below(SLOW_MS)
    this.#later(1, () => {
      disk.slowMs = 0
    })
  }

  // --- clocks ---

  #moveClock(): void {
    const { name, clock } = this.#machine()
    if (this.#chance.oneIn(3)) {
      this.#note(name, 'clock frozen')
      clock.freeze()
      return
    }
    const isByHours = this.#chance.oneIn(3)
    // Behind by hours does no harm to anybody; ahead is refused until clocks are corrected.
    const skewMs = isByHours
      ? this.#chance.below(HOURS_MS) * (FEATURES.clockCorrection && this.#chance.oneIn(2) ? 1 : -1)
      : this.#chance.below(2 * SKEW_MS) - SKEW_MS
    if (isByHours) this.#note(name, 'clock wrong by hours')
    this.#note(name, skewMs < clock.skewMs ? 'clock jumped back' : 'clock jumped forward')
    this.#note(name, 'clock skewed')
    clock.set(skewMs)
  }

  #moveRemoteClock(): void {
    const { host } = this.#parts
    this.#note('remote', 'remote clock jumped')
    const isByHours = FEATURES.clockCorrection && this.#chance.oneIn(3)
    if (isByHours) this.#note('remote', 'remote clock wrong by hours')
    const widthMs = isByHours ? HOURS_MS : SKEW_MS
    host.clock.set(this.#chance.below(2 * widthMs) - widthMs)
  }

  // --- folders ---

  async #takeFolderImage(): Promise<void> {
    const machine = this.#machine()
    if (machine.disk.config === undefined) return
    machine.note('an image of the folder is taken')
    this.#images.set(machine, await machine.disk.image())
  }

  async #putFolderBack(): Promise<void> {
    const machine = this.#machine()
    const image = this.#images.get(machine)
    if (image === undefined) return this.#takeFolderImage()
    this.#note(machine.name, 'folder put back')
    machine.kill()
    await machine.disk.putBack(image)
    this.#parts.onLoss()
    this.#later(1, () => machine.start())
  }

  async #deleteFolder(): Promise<void> {
    // Somebody else has to have the vault.
    const machine = this.#machine()
    const isElsewhere =
      this.#parts.host.lens.head !== undefined ||
      this.#parts.machines.some((other) => other !== machine && other.disk.config !== undefined)
    // Whoever joins a remote that has forgotten members makes a fork of the keychain, which only
    // the phrase can mend.
    if (this.#spoilCount > 0 || !this.#chance.oneIn(2) || !isElsewhere) return
    this.#note(machine.name, 'folder deleted')
    machine.kill()
    this.#images.delete(machine)
    await machine.disk.putBack({ entries: [], config: undefined, keys: undefined })
    this.#parts.onLoss()
    this.#later(1, () => machine.start())
  }

  async #copyFolder(): Promise<void> {
    const machine = this.#machine()
    if (machine.disk.config === undefined || this.#copyCount >= COPIES_MAX) return
    this.#copyCount++
    this.#note(machine.name, 'folder copied')
    const copy = await this.#parts.copy(machine)
    this.#setWeather(copy)
    copy.start()
  }

  // --- the remote's disk ---

  async #spoilRemote(): Promise<void> {
    const { host } = this.#parts
    const image = this.#images.get(host)
    const isEnough = this.#spoilCount >= SPOILS_MAX
    if (image === undefined || isEnough || this.#chance.oneIn(3)) {
      this.#parts.trace.note('remote', 'an image of the disk is taken')
      this.#images.set(host, await host.disk.image())
      return
    }
    if (!this.#parts.machines.every(({ disk }) => disk.config !== undefined)) return
    this.#spoilCount++
    const isWiped = this.#chance.oneIn(2)
    this.#note('remote', isWiped ? 'remote wiped' : 'remote put back')
    host.kill()
    await host.disk.putBack(isWiped ? { ...image, entries: [] } : image)
    this.#parts.onLoss()
    this.#later(1, () => host.start())
    if (!isWiped) this.#watchPutBack(host.lens.head, LOOKS_MAX)
  }

  /** Whether somebody writes to it before it has met anybody who knows more. */
  #watchPutBack(back: Position | undefined, looksLeft: number): void {
    const { machines, host, scheduler } = this.#parts
    const { head, chains } = host.lens
    if (looksLeft === 0 || back?.syncId !== head?.syncId) return
    const isForked = machines.some(({ lens: { cursor } }) => {
      return cursor?.syncId === head?.syncId && chains.get(cursor?.seq ?? 0) !== cursor?.chain
    })
    if (isForked && head !== undefined && head.seq > (back?.seq ?? 0)) {
      this.#note('remote', 'remote put back under new writes')
      return
    }
    scheduler.after(LOOK_MS, () => this.#watchPutBack(back, looksLeft - 1))
  }

  // --- around ---

  #machine(): Machine {
    return this.#chance.pick(this.#parts.machines)
  }

  /** After an outage; the longer, the greater `weight`. Not when all was mended meanwhile. */
  #later(weight: number, run: () => void): void {
    const delayMs = 100 + this.#chance.below(OUTAGE_MS) * (weight / 3)
    this.#parts.scheduler.after(delayMs, run)
  }

  #note(who: string, fault: Fault): void {
    this.#parts.tally.count(fault)
    this.#parts.trace.note(who, `⚡ ${fault}`)
  }
}
