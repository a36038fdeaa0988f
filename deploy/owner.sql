-- The owner of agenthost's database, who migrates it. No superuser: the functions that act as their owner are bound by
-- policies too. For psql as a superuser, once, in the empty database:
--
--   AGENTHOST_OWNER_PASSWORD=... psql --set=ON_ERROR_STOP=1 --file=deploy/owner.sql postgresql://postgres@.../agenthost

\getenv password AGENTHOST_OWNER_PASSWORD
create role agenthost_owner login createrole nosuperuser nobypassrls password :'password';
alter database :"DBNAME" owner to agenthost_owner;
