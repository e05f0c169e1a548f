/** The system that we run on, by Node's name for it. This is the one place that asks. */
export function platform(): NodeJS.Platform {
  return process.platform;
}
