import { seedRange } from './seed-range.ts';

seedRange(335, 40);
