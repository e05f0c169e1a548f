import { expect } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import { status } from "../../src/commands/status.ts";
import { undo } from "../../src/commands/undo.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { DEVICE_ID, digestOfState, type MachineState } from "../support/simulated-world.ts";
import {
  demandUntouched,
  freshToken,
  NEXT_CODE,
  parkedToken,
  performed,
  type Scene,
  type Values,
  valuesIn,
} from "./every-effect.ts";

