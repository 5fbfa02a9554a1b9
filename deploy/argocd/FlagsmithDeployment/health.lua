-- The health of a FlagsmithDeployment, from the conditions that the operator writes.
local health = { status = "Progressing", message = "the operator has not looked at it yet" }

if obj.spec ~= nil and obj.spec.suspend == true then
  health.status = "Suspended"
  health.message = "nothing is changed while spec.suspend is true"
  return health
end

-- What is said of an older specification says nothing of this one.
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function is(type, status)
  return conditions[type] ~= nil and conditions[type].status == status
end

if is("Stalled", "True") then
  health.status = "Degraded"
  -- Ready says what is wrong, Stalled what somebody has to do.
  local ready = conditions["Ready"]
  health.message = (ready and ready.message .. "; " or "") .. conditions["Stalled"].message
elseif is("Ready", "True") then
  health.status = "Healthy"
  health.message = conditions["Ready"].message
elseif is("Reconciling", "True") then
  health.message = conditions["Reconciling"].message
elseif is("Ready", "False") then
  health.status = "Degraded"
  health.message = conditions["Ready"].message
elseif conditions["Ready"] ~= nil then
  health.message = conditions["Ready"].message
end
return health
