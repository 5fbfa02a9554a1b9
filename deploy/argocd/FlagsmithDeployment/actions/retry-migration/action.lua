-- A failed migration is attempted once more for each new value.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["operator.flagsmith.com/retry-migration"] = os.date("!%Y-%m-%dT%XZ")
return obj
