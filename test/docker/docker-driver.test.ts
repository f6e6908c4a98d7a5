/** The driver of containers, on a real engine. */
import { createDockerStage } from '../support/docker.ts';
import { driverContract, survivingDriverContract } from './driver-contract.ts';

driverContract(createDockerStage);
survivingDriverContract(createDockerStage);
