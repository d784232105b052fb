import { seedRange } from './seed-range.ts';

seedRange(61, 10);
