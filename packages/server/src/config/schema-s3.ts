import { durationKind } from "./duration.ts";
import {
  bucketKind,
  fileKind,
  flagKind,
  objectPrefixKind,
  originKind,
  regionKind,
  secretKind,
  usernameKind,
} from "./names.ts";
import { scalar } from "./scalar.ts";
import { section } from "./schema-shapes.ts";

export const s3 = section({
  bucket: scalar(bucketKind).meta({ description: "It must exist.", example: "acme-images" }),
  prefix: scalar(objectPrefixKind)
    .prefault("")
    .meta({ description: "Begins every object's name; what is outside is never touched.", example: "pullring" }),
  region: scalar(regionKind)
    .optional()
    .meta({ description: "The bucket's region.", unset: "what the environment says", example: "eu-central-1" }),
  endpoint: scalar(originKind).optional().meta({
    description: "Where the service is, when it is not AWS.",
    unset: "AWS",
    example: "https://s3.example.org",
  }),
  forcePathStyle: scalar(flagKind)
    .prefault(false)
    .meta({ description: "The bucket stands in the path, not in the host's name.", example: true }),
  accessKeyId: scalar(usernameKind).optional().meta({
    description: "Together with its secret.",
    unset: "the usual chain: environment, web identity, instance",
    example: "AKIDEXAMPLE",
  }),
  secretAccessKey: scalar(secretKind)
    .optional()
    .meta({ description: "Its secret. Either this or `secretAccessKeyFile`.", example: "SECRET" }),
  secretAccessKeyFile: scalar(fileKind)
    .optional()
    .meta({ description: "File that holds it. Re-read when it changes.", example: "/run/secrets/s3" }),
  expire: scalar(durationKind).prefault("0s").meta({
    description: "What nobody asked for in so long is removed, unless a tag names it; 0s keeps everything.",
    example: "30d",
  }),
});
