import { seedRange } from './seed-range.ts';

seedRange(41, 10);
